import { describe, expect, it, vi } from 'vitest';
import type { LocalLease } from './lease.js';
import { PublicPorts, type OpenPort, type PortRange } from './ports.js';
import type { Store } from '../store/store.js';

const LEASE = { record: { name: 'game', owner: '0xA' } } as LocalLease;
const inUse = (): Error => Object.assign(new Error('in use'), { code: 'EADDRINUSE' });

/** Ports that open as if no other program used any, and the set of open ones. */
function portsOf(range: PortRange, over: Partial<Store> = {}): { ports: PublicPorts; open: Set<number> } {
  const open = new Set<number>();
  const store: Partial<Store> = {
    port: async () => undefined,
    portHolder: async () => undefined,
    rememberPort: () => Promise.resolve(),
    ...over,
  };
  const listen = (_lease: LocalLease, port: number): Promise<OpenPort> => {
    if (open.has(port)) return Promise.reject(inUse());
    open.add(port);
    return Promise.resolve({ port, close: () => void open.delete(port) });
  };
  const ports = new PublicPorts({
    ranges: { tcp: range },
    listen: { tcp: listen },
    store: store as Store,
    reservationMs: 1_000,
  });
  return { ports, open };
}

describe('public ports', () => {
  it('close again if they cannot be stored', async () => {
    const { ports, open } = portsOf(
      { from: 10, to: 20 },
      { rememberPort: () => Promise.reject(new Error('disk full')) },
    );
    await expect(ports.open('tcp', LEASE, 12)).rejects.toThrow('disk full');
    expect(open).toEqual(new Set());
    await expect(ports.move('tcp', LEASE, 13)).rejects.toThrow('disk full');
    expect(open).toEqual(new Set());
  });

  it('go to their former holder again, even on a full disk', async () => {
    const { ports, open } = portsOf(
      { from: 10, to: 20 },
      { port: async () => 15, rememberPort: () => Promise.reject(new Error('disk full')) },
    );
    await expect(ports.open('tcp', LEASE, undefined)).resolves.toMatchObject({ port: 15 });
    expect(open).toEqual(new Set([15]));
  });

  it('are assigned down to the last one', async () => {
    const { ports, open } = portsOf({ from: 100, to: 399 });
    for (let count = 0; count < 300; count++) await ports.open('tcp', LEASE, undefined);
    expect(open.size).toBe(300);
    await expect(ports.open('tcp', LEASE, undefined)).rejects.toMatchObject({ code: 'ports_exhausted' });
  });

  it('of former holders are looked up a limited number of times, and assigned when no others are free', async () => {
    const portHolder = vi.fn<() => Promise<string>>(async () => '0xB');
    const { ports } = portsOf({ from: 1, to: 60_000 }, { portHolder });
    await expect(ports.open('tcp', LEASE, 80)).resolves.toBeDefined();
    expect(portHolder.mock.calls.length).toBeLessThan(2_000);
  });

  it.each([1, 2, 12, 97])('of a range of %i are all found', async (size) => {
    const { ports, open } = portsOf({ from: 1_000, to: 999 + size });
    for (let count = 0; count < size; count++) await ports.open('tcp', LEASE, undefined);
    expect([...open].toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: size }, (_, index) => 1_000 + index),
    );
  });
});
