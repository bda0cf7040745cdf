import { expect, it } from 'vitest';
import { DeliveringHandlers, type Deliver } from './handlers.js';

const first: Deliver = () => Promise.resolve({ kind: 'down' });
const second: Deliver = () => Promise.resolve({ kind: 'delivered', status: 200 });

it('finds the first handler of the service that has the route now', () => {
  const asked: string[] = [];
  const handlers = new DeliveringHandlers((service) => asked.push(service));
  const one = handlers.add('hooks', new Set(['/']), first);
  const two = handlers.add('hooks', new Set(['/', '/stripe']), second);
  expect(handlers.of('hooks', '/')).toBe(first);
  expect(handlers.of('hooks', '/stripe')).toBe(second);
  expect(handlers.of('hooks', '/other')).toBeUndefined();
  expect(handlers.of('other', '/')).toBeUndefined();
  one.close();
  expect(handlers.of('hooks', '/')).toBe(second);
  expect(asked).toEqual(['hooks', 'hooks']);
  two.routes = new Set(['/other']);
  expect(asked).toHaveLength(3);
  expect(handlers.of('hooks', '/')).toBeUndefined();
  expect(handlers.of('hooks', '/other')).toBe(second);
});
