import { describe, expect, it } from 'vitest';
import { rejectionOf, rejectionUnknown } from './rejected-name.js';

const NAME = 'app.example.com:8443';

describe('the response of a framework that rejects a name', () => {
  it.each([
    [
      403,
      '/',
      'Blocked request. This host ("app.example.com") is not allowed.\nTo allow this host, add "app.example.com" to `server.allowedHosts` in vite.config.js.',
      'vite',
      'server.allowedHosts',
    ],
    [
      403,
      '/',
      'Blocked request. This host ("app.example.com") is not allowed.\nTo allow this host, add "app.example.com" to `preview.allowedHosts` in vite.config.js.',
      'vite-preview',
      'preview.allowedHosts',
    ],
    [403, '/', 'Invalid Host header', 'webpack', 'devServer.allowedHosts'],
    [200, '/', 'Invalid Host header', 'webpack', 'devServer.allowedHosts'],
    [421, '/mcp', 'Invalid Host header', 'mcp', 'allowed hosts'],
    [403, '/mcp', 'Invalid Origin header', 'mcp', 'allowed origins'],
    [
      403,
      '/mcp',
      '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Invalid Host header: app.example.com"},"id":null}',
      'mcp',
      'allowed hosts',
    ],
    [
      403,
      '/mcp',
      '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Invalid Host: app.example.com"},"id":null}',
      'mcp',
      'allowed hosts',
    ],
    [
      400,
      '/',
      '<!DOCTYPE html>\n<html lang="en">\n<head>\n  <title>DisallowedHost\n          at /</title>',
      'django',
      'ALLOWED_HOSTS',
    ],
    [
      403,
      '/login',
      '<p>Origin checking failed - https://app.example.com does not match any trusted origins.</p>',
      'django-csrf',
      'CSRF_TRUSTED_ORIGINS',
    ],
    [403, '/', '<header><h1>Blocked hosts: app.example.com</h1></header>', 'rails', 'config.hosts <<'],
    [403, '/form', 'Cross-site POST form submissions are forbidden', 'sveltekit', 'ORIGIN='],
    [403, '/api', 'Invalid CORS request', 'spring', 'server.forward-headers-strategy=framework'],
    [403, '/_next/webpack-hmr', 'Unauthorized', 'next', 'allowedDevOrigins'],
    [0, '/_next/hmr?id=x', 'Unauthorized', 'next', 'allowedDevOrigins'],
    [403, '/', '<!DOCTYPE HTML>\n<html>\n<title>Jupyter Server</title>', 'jupyter', 'allow_remote_access'],
  ])('%i at %s, %j, comes from %s', (status, target, text, id, cure) => {
    const rejection = rejectionOf({ status, method: 'GET', target, text }, NAME);
    expect(rejection).toMatchObject({ id, name: 'app.example.com' });
    expect(rejection?.message).toMatch(/ rejects the name app\.example\.com$/);
    expect(rejection?.hint).toContain(cure);
    expect(rejection?.hint).toMatch(/, or set `host: target`\.$/);
  });

  it.each([
    [403, 'GET', '/', 'Forbidden'],
    [403, 'GET', '/', 'Unauthorized'],
    [0, 'GET', '/chat', 'Unauthorized'],
    [502, 'GET', '/_next/hmr', 'Unauthorized'],
    [400, 'GET', '/', 'Bad Request'],
    [404, 'GET', '/', 'Invalid Host header'],
    [200, 'GET', '/', 'Blocked hosts: x'],
    [403, 'POST', '/', '<title>Jupyter Server</title>'],
  ])('%i to %s %s, %j, comes from no known framework', (status, method, target, text) => {
    expect(rejectionOf({ status, method, target, text }, NAME)).toBeUndefined();
  });

  it.each([
    'Invalid CORS request',
    'Cross-site POST form submissions are forbidden',
    'Origin checking failed',
  ])('%j to a page of another site does not reject the name', (text) => {
    const answered = { status: 403, method: 'POST', target: '/', text };
    expect(rejectionOf(answered, NAME)).toBeDefined();
    expect(rejectionOf({ ...answered, isCrossOrigin: true }, NAME)).toBeUndefined();
  });

  it('has a remedy for unknown servers', () => {
    expect(rejectionUnknown(400, NAME)).toMatchObject({
      id: 'unknown',
      hint: 'Allow that name in its settings, or set `host: target`.',
    });
  });
});
