import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { channelPair } from '../../../test/support/channel.js';
import { ChannelStore, serveStore } from './channel.js';
import { storeContract } from './contract.js';
import { MemoryStore } from './memory.js';

function open(served = new MemoryStore()) {
  const [here, there] = channelPair();
  serveStore(served, there);
  const store = new ChannelStore(here);
  onTestFinished(() => store.close());
  return { store, there };
}

describe('the store of another process', () => {
  storeContract(async () => open().store);

  it('counts its own failed writes, and throws the error of the other process', async () => {
    const served = new MemoryStore();
    const full = new PortalError('state_unwritable', 'the disk is full');
    vi.spyOn(served, 'reserve').mockRejectedValueOnce(full);
    const [first, second] = [open(served).store, open(served).store];
    await expect(first.reserve('web', '0xA', 1)).rejects.toMatchObject({
      code: 'state_unwritable',
      message: 'the disk is full',
    });
    await expect(second.reserve('web', '0xA', 1)).resolves.toBe(true);
    expect([first.failures, second.failures]).toEqual([1, 0]);
  });

  it('shows the writes of one process to the others', async () => {
    const served = new MemoryStore();
    const [first, second] = [open(served).store, open(served).store];
    expect(await first.reserve('web', '0xA', 100, { expiredAt: 0 })).toBe(true);
    expect(await second.reserve('web', '0xB', 100, { expiredAt: 0 })).toBe(false);
    expect(await second.reservation('web')).toMatchObject({ address: '0xA' });
    await first.close();
    expect(await second.reservation('web')).toMatchObject({ address: '0xA' });
  });

  it('completes pending writes when it closes', async () => {
    const { store } = open();
    const stored = store.reserve('web', '0xA', 1);
    await store.close();
    await expect(stored).resolves.toBe(true);
  });

  it('rejects reads and writes without that process', async () => {
    const { store, there } = open();
    const read = store.reservation('web');
    there.close();
    await Promise.allSettled([read]);
    await expect(store.reservation('web')).rejects.toMatchObject({ code: 'relay_busy' });
    await expect(store.reserve('web', '0xA', 1)).rejects.toMatchObject({ code: 'relay_busy' });
    expect(store.failures).toBe(1);
  });
});
