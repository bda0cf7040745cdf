import { createHmac, timingSafeEqual } from 'node:crypto';

/** Whether `given` equals `secret`. The time it takes does not reveal how much of it is right. */
export function isSameSecret(given: string, secret: string): boolean {
  const [x, y] = [given, secret].map((text) => createHmac('sha256', 'compare').update(text).digest());
  return timingSafeEqual(x!, y!);
}
