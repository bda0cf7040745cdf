import { createHmac, timingSafeEqual } from 'node:crypto';

/** Whether `given` equals `secret`. Takes the same time however much of `given` is right. */
export function isSameSecret(given: string, secret: string): boolean {
  const [x, y] = [given, secret].map((text) => createHmac('sha256', 'compare').update(text).digest());
  return timingSafeEqual(x!, y!);
}
