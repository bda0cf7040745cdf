import { expect, it } from 'vitest';
import { HOST, httpSpec } from '../support/http-edge.js';
import { agent, desired, get, httpService, relay } from '../support/world.js';

it('that a target rejects the public name is told once, however many visitors meet it', async () => {
  const { port } = await httpService((request, response) => {
    response.statusCode = 403;
    response.end(request.url === '/own' ? 'Forbidden' : 'Invalid Host header');
  });
  const at = await relay();
  const one = await agent();
  await one.runner.apply(desired([at.spec], httpSpec('app', { '/': port })));
  await one.event('ready');
  const told = (): unknown[] =>
    one.events.filter((event) => event.event === 'notice' && event.kind === 'name_rejected');
  // An answer that says nothing of names.
  await get(at, HOST, one.ca, '/own');
  expect(told()).toEqual([]);
  for (const path of ['/', '/again']) expect((await get(at, HOST, one.ca, path)).text).toContain('Invalid');
  expect(told()).toMatchObject([
    {
      service: 'app',
      framework: 'webpack',
      name: HOST,
      message: `app: webpack-dev-server rejects the name ${HOST}. Add "${HOST}" to devServer.allowedHosts in webpack.config.js, or set \`host: target\`.`,
    },
  ]);
});
