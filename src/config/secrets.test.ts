import { describe, expect, it } from 'vitest';
import { formatProblem } from './frame.js';
import { loadConfig } from './load.js';
import { isSecret, maskSecrets } from './secrets.js';

const SECRET = 'hunter2secret';

async function everythingSaid(text: string): Promise<string> {
  const env = { SECRET, BAD: SECRET };
  const result = await loadConfig({ file: '-', cwd: '/nowhere', env, stdin: async () => text });
  if (result.ok) return JSON.stringify([result.effective, result.warnings]);
  return result.problems
    .map((problem) => formatProblem(problem, { color: false }) + JSON.stringify(problem))
    .join('\n');
}

describe('no secret is shown', () => {
  it.each([
    `version: 1\nservices:\n  a: { target: 1, access: { pin: "${SECRET}" }, nope: 1 }`,
    `version: 1\nservices:\n  a: { target: 1, access: { pin: ${SECRET} }, nope: 1 }`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pni: ${SECRET}\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access: ${SECRET}\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    pin: ${SECRET}\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: [${SECRET}]\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: |\n        ${SECRET}\n        ${SECRET}\n    x: 1\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: !${SECRET}\n    x: 1\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: *${SECRET}\n    x: 1\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: "x$${SECRET}"\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: "x\${${SECRET} y}"\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access:\n      pin: "${SECRET}\n`,
    `version: 1\nservices:\n  a:\n    target: 1\n    access: { pin: "${SECRET}"\n    x: [\n`,
    `version: 1\nservices:\n  a:\n    mode: http\n    routes: { /: { target: 1, headers: { Authorization: Bearer ${SECRET} } } }\n    x: [\n`,
    `version: 1\nservices:\n  a:\n    mode: http\n    routes:\n      /:\n        headers:\n          Authorization: Bearer ${SECRET}\n`,
    `version: 1\nservices:\n  # pin: ${SECRET}\n  a: 70000 # pin: ${SECRET}\n  #| headers:\n  #|   X: ${SECRET}\n`,
    'version: 1\nservices:\n  a: ${SECRET}\n',
    'version: 1\nservices:\n  a: { target: 1, name: "${SECRET} x", via: "${SECRET}", expires: "${SECRET}" }\n',
    'version: 1\nservices:\n  a: { target: 1, mode: "${SECRET}", metadata: { n: "${SECRET}" } }\n',
    'version: "${SECRET}"\nrelays: { urls: ["${SECRET}", "https://x/${SECRET}"] }\nservices: { a: 1 }\n',
    'version: 1\nservices:\n  a: { target: 1, name: x, hostname: "${SECRET}", access: { allowIps: ["${SECRET}"] } }\n',
  ])('%j', async (text) => {
    expect(await everythingSaid(text)).not.toContain(SECRET);
  });

  it('in the effective configuration', () => {
    const value = {
      services: {
        pin: 3000,
        a: { access: { pin: SECRET, allowIps: ['10.0.0.1'] }, routes: { '/': { headers: { A: SECRET } } } },
      },
    };
    expect(maskSecrets(value)).toEqual({
      services: {
        pin: 3000,
        a: { access: { pin: '****', allowIps: ['10.0.0.1'] }, routes: { '/': { headers: { A: '****' } } } },
      },
    });
  });
});

it('takes a service or a route called pin for what it is', () => {
  expect(isSecret(['services', 'pin'])).toBe(false);
  expect(isSecret(['services', 'headers', 'target'])).toBe(false);
  expect(isSecret(['services', 'a', 'metadata', 'pin'])).toBe(false);
  expect(isSecret(['services', 'a', 'pin'])).toBe(true);
});
