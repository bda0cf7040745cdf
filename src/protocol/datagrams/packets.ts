import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { ReplayWindow } from './window.js';

/**
 * Packets of the `udp` carrier: frames sealed with AES-128-GCM under keys that come out of the control channel's
 * TLS session (RFC 8446 §7.5), so that only its two ends can read or make them.
 *
 *   version (1) · association (8) · counter (8) · sealed frames · tag (16)
 *
 * The first 17 bytes are in the clear and authenticated. The counter never repeats within an association and
 * direction; its upper bits are the key epoch, so that both ends change keys without a word.
 */

export const PACKET_VERSION = 0xd1;
export const ASSOCIATION_BYTES = 8;
const HEADER_BYTES = 1 + ASSOCIATION_BYTES + 8;
const TAG_BYTES = 16;
export const PACKET_OVERHEAD = HEADER_BYTES + TAG_BYTES;

/** Label of the TLS exporter (RFC 5705 §4 for the prefix); its context is the association's id. */
export const EXPORTER_LABEL = 'EXPERIMENTAL-portal-datagrams';
export const EXPORTER_BYTES = 32;

/**
 * Packets under one key. AES-GCM keeps its margin up to 2^23 packets of 2^14 bytes (RFC 9001 §6.6); this is an
 * eighth of it, and cheap enough to be reached every few seconds by whoever sends a lot.
 */
export const PACKETS_PER_KEY = 2 ** 20;
/** Epochs beyond the newest one that a packet may claim: each costs a key derivation before it is found forged. */
const EPOCHS_AHEAD = 4;

type Direction = 'agent to relay' | 'relay to agent';
/** Why a packet was not accepted. */
export type Refusal = 'malformed' | 'forged' | 'replayed' | 'old';

interface EpochKey {
  readonly epoch: number;
  readonly key: Buffer;
  readonly iv: Buffer;
}

export interface PacketKeys {
  /** What the TLS exporter gave. */
  readonly secret: Buffer;
  readonly association: Buffer;
  readonly direction: Direction;
}

function epochKey({ secret, direction }: PacketKeys, epoch: number): EpochKey {
  const out = Buffer.from(hkdfSync('sha256', secret, '', `portal datagrams 1 ${direction} ${epoch}`, 28));
  return { epoch, key: out.subarray(0, 16), iv: out.subarray(16) };
}

/** The key's IV with the counter laid over it, as TLS 1.3 and QUIC do (RFC 8446 §5.3). */
function nonceOf({ iv }: EpochKey, counter: number, into: Buffer): Buffer {
  iv.copy(into);
  into.writeUInt32BE((into.readUInt32BE(4) ^ Math.floor(counter / 2 ** 32)) >>> 0, 4);
  into.writeUInt32BE((into.readUInt32BE(8) ^ (counter >>> 0)) >>> 0, 8);
  return into;
}

const OPTIONS = { authTagLength: TAG_BYTES } as const;

/** Makes the packets of one direction of an association. */
export class PacketSealer {
  readonly #keys: PacketKeys;
  readonly #nonce = Buffer.alloc(12);
  #epoch: EpochKey;
  #counter: number;

  /** `from` is for tests: where counting begins. */
  constructor(keys: PacketKeys, from = 0) {
    this.#keys = keys;
    this.#counter = from;
    this.#epoch = epochKey(keys, Math.floor(from / PACKETS_PER_KEY));
  }

  /** The packet in parts, in the order in which they are sent. `frames` may be reused at once. */
  seal(frames: Buffer): [Buffer, Buffer, Buffer] {
    const counter = this.#counter++;
    if (counter >= (this.#epoch.epoch + 1) * PACKETS_PER_KEY) {
      this.#epoch = epochKey(this.#keys, this.#epoch.epoch + 1);
    }
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    header[0] = PACKET_VERSION;
    this.#keys.association.copy(header, 1);
    header.writeUInt32BE(Math.floor(counter / 2 ** 32), 9);
    header.writeUInt32BE(counter >>> 0, 13);
    const nonce = nonceOf(this.#epoch, counter, this.#nonce);
    const cipher = createCipheriv('aes-128-gcm', this.#epoch.key, nonce, OPTIONS);
    cipher.setAAD(header);
    const sealed = cipher.update(frames);
    cipher.final();
    return [header, sealed, cipher.getAuthTag()];
  }
}

/** The association that a packet claims to be of, as a map key; undefined for what is none of ours. */
export function associationOf(packet: Buffer): string | undefined {
  if (packet.length < PACKET_OVERHEAD || packet[0] !== PACKET_VERSION) return undefined;
  return packet.toString('latin1', 1, 1 + ASSOCIATION_BYTES);
}

/** Opens the packets of one direction of an association: each once, in any order within the window. */
export class PacketOpener {
  readonly #keys: PacketKeys;
  readonly #key: string;
  readonly #window = new ReplayWindow();
  readonly #nonce = Buffer.alloc(12);
  readonly #epochs = new Map<number, EpochKey>();
  #opened = 0;
  /** Whether the packet that was opened last is the newest so far: only such a one may move the peer's address. */
  newest = false;

  constructor(keys: PacketKeys) {
    this.#keys = keys;
    this.#key = keys.association.toString('latin1');
  }

  /** Packets that the other end has sent and that have not come: lost on the way, or late. */
  get missing(): number {
    return this.#window.newest + 1 - this.#opened;
  }

  /** The frames in `packet`, or why it is refused. A refused packet changes nothing. */
  open(packet: Buffer): Buffer | Refusal {
    if (associationOf(packet) !== this.#key) return 'malformed';
    const high = packet.readUInt32BE(9);
    // Beyond 2^53 no honest sender comes, and a number would not be exact.
    if (high >= 2 ** 21) return 'forged';
    const counter = high * 2 ** 32 + packet.readUInt32BE(13);
    const verdict = this.#window.check(counter);
    if (verdict !== 'new') return verdict;
    const epoch = this.#epochOf(counter);
    if (!epoch) return 'forged';
    const sealedEnd = packet.length - TAG_BYTES;
    const decipher = createDecipheriv(
      'aes-128-gcm',
      epoch.key,
      nonceOf(epoch, counter, this.#nonce),
      OPTIONS,
    );
    decipher.setAAD(packet.subarray(0, HEADER_BYTES));
    decipher.setAuthTag(packet.subarray(sealedEnd));
    const frames = decipher.update(packet.subarray(HEADER_BYTES, sealedEnd));
    try {
      decipher.final();
    } catch {
      return 'forged';
    }
    this.newest = counter > this.#window.newest;
    this.#window.accept(counter);
    this.#opened++;
    if (this.newest) this.#forgetEpochsBefore(epoch.epoch - 1);
    return frames;
  }

  #epochOf(counter: number): EpochKey | undefined {
    const epoch = Math.floor(counter / PACKETS_PER_KEY);
    const newest = Math.floor(Math.max(0, this.#window.newest) / PACKETS_PER_KEY);
    if (epoch > newest + EPOCHS_AHEAD) return undefined;
    let key = this.#epochs.get(epoch);
    if (!key) {
      key = epochKey(this.#keys, epoch);
      this.#epochs.set(epoch, key);
    }
    return key;
  }

  /** The window reaches back into one earlier epoch at most. */
  #forgetEpochsBefore(epoch: number): void {
    if (this.#epochs.size < 2) return;
    for (const known of this.#epochs.keys()) if (known < epoch) this.#epochs.delete(known);
  }
}
