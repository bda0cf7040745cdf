/**
 * The sliding window against replays of RFC 6479: a ring of 32-bit blocks, one more than the window needs, so that sliding
 * clears whole blocks and shifts nothing.
 */

const BLOCK_BITS = 32;
const BLOCKS = 129;
/** How much older than the newest a packet may be. */
export const WINDOW_PACKETS = (BLOCKS - 1) * BLOCK_BITS;

export class ReplayWindow {
  readonly #bits = new Uint32Array(BLOCKS);
  #newest = -1;

  /** The highest accepted number; -1 before the first. */
  get newest(): number {
    return this.#newest;
  }

  /** Whether a packet with this number may still be accepted. Changes nothing, since it is not authenticated yet. */
  check(counter: number): 'new' | 'replayed' | 'old' {
    if (counter > this.#newest) return 'new';
    if (this.#newest - counter >= WINDOW_PACKETS) return 'old';
    const block = Math.floor(counter / BLOCK_BITS) % BLOCKS;
    return (this.#bits[block]! >>> (counter % BLOCK_BITS)) & 1 ? 'replayed' : 'new';
  }

  /** Notes an authenticated packet that `check` called new. */
  accept(counter: number): void {
    const block = Math.floor(counter / BLOCK_BITS);
    if (counter > this.#newest) {
      const newestBlock = this.#newest < 0 ? -1 : Math.floor(this.#newest / BLOCK_BITS);
      const cleared = Math.min(block - newestBlock, BLOCKS);
      for (let i = 0; i < cleared; i++) this.#bits[(block - i) % BLOCKS] = 0;
      this.#newest = counter;
    }
    this.#bits[block % BLOCKS]! |= 1 << (counter % BLOCK_BITS);
  }
}
