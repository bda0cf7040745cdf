import { describe, expect, it } from 'vitest';
import { exposedServices, type ExposeFlags } from './expose-services.js';

const services = (target: string | undefined, flags: ExposeFlags = {}) =>
  exposedServices('app', target, flags, '/project');

describe('the services that the flags of expose define', () => {
  it.each<[string, string | undefined, ExposeFlags, object]>([
    ['a target', '3000', {}, { app: { name: 'app', target: 'localhost:3000' } }],
    ['a path made absolute', 'unix:a.sock', {}, { app: { name: 'app', target: 'unix:/project/a.sock' } }],
    [
      'a TCP port',
      'localhost:25565',
      { tcp: true, port: 25565 },
      { app: { name: 'app', mode: 'tcp', target: 'localhost:25565', port: 25565 } },
    ],
    [
      'a UDP port alone',
      '19132',
      { udp: true },
      { app: { name: 'app', mode: 'udp', target: 'localhost:19132' } },
    ],
    [
      'datagrams beside a target, under one name',
      '8080',
      { udp: true, udpAddr: '19132' },
      {
        app: { name: 'app', target: 'localhost:8080' },
        'app-udp': { name: 'app', mode: 'udp', target: 'localhost:19132' },
      },
    ],
    [
      'TCP and UDP',
      '53',
      { tcp: true, udp: true },
      {
        app: { name: 'app', mode: 'tcp', target: 'localhost:53' },
        'app-udp': { name: 'app', mode: 'udp', target: 'localhost:53' },
      },
    ],
    [
      'routes',
      undefined,
      { httpRoute: ['/api=3001', '/=5173'] },
      { app: { name: 'app', mode: 'http', routes: { '/api': 'localhost:3001', '/': 'localhost:5173' } } },
    ],
    [
      'routes beside a target, which gets the other paths',
      '5173',
      { httpRoute: ['/api=3001'] },
      { app: { name: 'app', mode: 'http', routes: { '/api': 'localhost:3001', '/': 'localhost:5173' } } },
    ],
    [
      'another name in Host',
      '8080',
      { hostHeader: 'target' },
      { app: { name: 'app', target: 'localhost:8080', host: 'target' } },
    ],
    [
      'another name in Host for all routes',
      undefined,
      { httpRoute: ['/=5173'], hostHeader: 'shop.test:8080' },
      { app: { name: 'app', mode: 'http', routes: { '/': 'localhost:5173' }, host: 'shop.test:8080' } },
    ],
    [
      'gates and a chain',
      '3000',
      { pin: '1234', allowIp: ['10.0.0.0/8'], chain: 'a,b', inspect: true },
      {
        app: {
          name: 'app',
          target: 'localhost:3000',
          access: { pin: '1234', allowIps: ['10.0.0.0/8'] },
          via: 'chain',
          inspect: true,
        },
      },
    ],
  ])('%s', (_what, target, flags, expected) => {
    expect(services(target, flags)).toEqual(expected);
  });

  it.each<[string, string | undefined, ExposeFlags]>([
    ['the target is missing', undefined, {}],
    ['--udp-addr needs --udp', '1', { udpAddr: '2' }],
    ['cannot be used with --tcp', '1', { tcp: true, httpRoute: ['/=1'] }],
    ['both set the target of /', '1', { httpRoute: ['/=1'] }],
    ['"3001" is not a route', undefined, { httpRoute: ['3001'] }],
    ['--port needs --tcp or --udp', '1', { port: 5 }],
    ['is not a port', 'nonsense', {}],
  ])('rejects: %s', (message, target, flags) => {
    expect(() => services(target, flags)).toThrow(message);
  });

  it.each([
    [':3000', 'Write 3000.'],
    ['localhost', 'Add the port, as in localhost:3000. For a folder, write ./localhost.'],
    ['tcp://localhost:22', 'Write localhost:22, and add --tcp.'],
    [
      'localhost:3000/api',
      'Write localhost:3000. To publish one path, use --http-route /api=localhost:3000.',
    ],
    ['a b', 'Write for example 3000, localhost:3000, unix:/run/app.sock or ./public.'],
  ])('says what to write instead of the target %s', (target, hint) => {
    expect(() => services(target)).toThrow(expect.objectContaining({ code: 'usage', hint }));
  });
});
