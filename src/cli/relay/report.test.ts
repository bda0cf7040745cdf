import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { capturedOutput } from '../../../test/e2e/cli-support.js';
import type { Context } from '../context.js';
import * as wrap from '../text/wrap.js';
import { modesLine, reportListening, type Listening } from './report.js';

it.each([
  [
    ['stream', 'http', 'hostname'],
    'serves HTTPS and other TLS; for TCP and UDP ports, add --tcp-ports and --udp-ports',
  ],
  [['stream', 'http', 'tcp'], 'serves HTTPS, other TLS and TCP ports; for UDP ports, add --udp-ports'],
  [['stream', 'http', 'tcp', 'udp'], 'serves HTTPS, other TLS, TCP ports and UDP ports'],
])('names the modes of a relay with %j, and the flags for the others', (capabilities, line) => {
  expect(modesLine(capabilities)).toBe(line);
});

/** What a relay for `domain` prints on a terminal. */
function printed(domain: string, ca?: string, columns = 200): string {
  const [stdout, stderr] = [capturedOutput(), capturedOutput({ isTTY: true, columns }, wrap)];
  const url = `https://${domain}:8443`;
  const relay = {
    url,
    domain,
    address: '0x',
    addresses: [],
    httpRedirect: [],
    descriptor: { capabilities: [] },
  };
  reportListening({ stdout: stdout.output, stderr: stderr.output, json: false } as unknown as Context, {
    relay: relay as unknown as Listening['relay'],
    ca,
    metrics: undefined,
  });
  expect(stdout.text()).toBe(`${url}\n`);
  return stderr.text();
}

it('prints what an agent of a public relay writes in portal.yaml, without what is the default', () => {
  expect(printed('relay.example.com')).toContain(
    '\nagents write in portal.yaml:\n\nrelays: { urls: [https://relay.example.com:8443] }\n\n',
  );
});

it.each(['localhost', 'relay.test'])('prints no public CA for agents of a relay for %s', (domain) => {
  const text = printed(domain, '/ca.pem');
  expect(text).toContain('\nagents on this machine write in portal.yaml:\n\nrelays:\n');
  expect(text).not.toContain('acme');
});

it('prints lines that stay YAML on a narrow terminal', () => {
  const ca = '/home/me/.local/share/portal with a space/ca/ca.pem';
  const [, yaml = ''] = /portal\.yaml:\n\n([^]*?)\n\n/.exec(printed('relay.test', ca, 30))!;
  expect(parse(yaml)).toEqual({ relays: { urls: [{ url: 'https://relay.test:8443', ca }] } });
});
