import { expect, it } from 'vitest';
import { urlsOfHosts } from './hosts.js';

it.each([
  ['postgres://db/portal', ['postgres://db/portal']],
  [
    'postgres://u:p,w@db1:5432,db2/portal',
    ['postgres://u:p,w@db1:5432/portal', 'postgres://u:p,w@db2/portal'],
  ],
  [
    'postgres://[::1]:5432,[::2]/portal?target_session_attrs=read-write',
    ['postgres://[::1]:5432/portal', 'postgres://[::2]/portal'],
  ],
  [
    'postgres://a,b/portal?target_session_attrs=primary&sslmode=verify-full',
    ['postgres://a/portal?sslmode=verify-full', 'postgres://b/portal?sslmode=verify-full'],
  ],
  [
    'postgres://u@localhost/portal?host=%2Frun%2Fa,%2Frun%2Fb&x=1',
    [
      'postgres://u@localhost/portal?host=%2Frun%2Fa&x=1',
      'postgres://u@localhost/portal?host=%2Frun%2Fb&x=1',
    ],
  ],
])('has a URL for each host of %s', (url, urls) => {
  expect(urlsOfHosts(url)).toEqual(urls);
});
