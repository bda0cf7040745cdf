import { expect, it } from 'vitest';
import { News } from './news.js';

const target = (reachable: boolean) =>
  ({ event: 'target', service: 'web', target: 'localhost:3000', reachable }) as const;
const health = (healthy: boolean) => ({ event: 'health', service: 'web', healthy }) as const;

it('that a target answers is news only after it did not', () => {
  const news = new News();
  const told = [true, false, true].map((reachable) => news.isNews(target(reachable)));
  expect(told).toEqual([false, true, true]);
});

it('that a service is unhealthy is news only while its target answers', () => {
  const news = new News();
  news.isNews(target(false));
  expect([health(false), health(true)].map((event) => news.isNews(event))).toEqual([false, false]);
  news.isNews(target(true));
  expect([health(false), health(true)].map((event) => news.isNews(event))).toEqual([true, true]);
});
