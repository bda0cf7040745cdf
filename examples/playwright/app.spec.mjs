import { expect, test } from './fixtures.mjs';

test('orders at the public URL', async ({ page, portal }) => {
  await page.goto('/');
  expect(new URL(page.url()).protocol).toBe('https:');
  await page.getByRole('button', { name: 'Order tea' }).click();
  await expect(page.getByRole('status')).toHaveText('ordered tea');
  const order = await portal.services.app.waitForRequest({ method: 'POST', path: '/orders' });
  expect(order.body.json()).toEqual({ item: 'tea' });
  expect(order.headers['user-agent']).toContain('Chrome');
});
