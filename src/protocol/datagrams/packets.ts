import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { ReplayWindow } from './window.js';

/**
 * Packets of the `udp` carrier: frames sealed with AES-128-GCM. The keys come from the control channel's TLS session (RFC
 * 8446 §7.5), so only its two ends can read or create packets.
 *
 *   version (1) · association (8) · counter (8) · sealed frames · tag (16)
 *
 * The first 17 bytes are plaintext and authenticated. The counter never repeats within an association and direction. Its upper
 * bits are the key epoch, so both ends change keys without a message.
 */

export const PACKET_VERSION = 0xd1;
export const ASSOCIATION_BYTES = 8;
const HEADER_BYTES = 1 + ASSOCIATION_BYTES + 8;
const TAG_BYTES = 16;
export const PACKET_OVERHEAD = HEADER_BYTES + TAG_BYTES;

/** Label of the TLS exporter (RFC 5705 §4 for the prefix). Its context is the association's id. */
export const EXPORTER_LABEL = 'EXPERIMENTAL-portal-datagrams';
export const EXPORTER_BYTES = 32;

/**
 * Packets under one key. AES-GCM is safe up to 2^23 packets of 2^14 bytes (RFC 9001 §6.6). This is an eighth of it; a busy
 * sender reaches it every few seconds, and changing keys is cheap.
 */
export const PACKETS_PER_KEY = 2 ** 20;
/** How many epochs ahead of the newest a packet may be. Each epoch costs a key derivation before a forgery is detected. */
const EPOCHS_AHEAD = 4;

type Direction = 'agent to relay' | 'relay to agent';
/** Why a packet was rejected. */
export type Refusal = 'malformed' | 'forged' | 'replayed' | 'old';

interface EpochKey {
  readonly epoch: number;
  readonly key: Buffer;
  readonly iv: Buffer;
}

export interface PacketKeys {
  /** The output of the TLS exporter. */
  readonly secret: Buffer;
  readonly association: Buffer;
  readonly direction: Direction;
}

function epochKey({ secret, direction }: PacketKeys, epoch: number): EpochKey {
  const out = Buffer.from(hkdfSync('sha256', secret, '', `portal datagrams 1 ${direction} ${epoch}`, 28));
  return { epoch, key: out.subarray(0, 16), iv: out.subarray(16) };
}

/** The key's IV XORed with the counter, as in TLS 1.3 and QUIC (RFC 8446 §5.3). */
function nonceOf({ iv }: EpochKey, counter: number, into: Buffer): Buffer {
  iv.copy(into);
  into.writeUInt32BE((into.readUInt32BE(4) ^ Math.floor(counter / 2 ** 32)) >>> 0, 4);
  into.writeUInt32BE((into.readUInt32BE(8) ^ (counter >>> 0)) >>> 0, 8);
  return into;
}

const OPTIONS = { authTagLength: TAG_BYTES } as const;

/** Creates the packets of one direction of an association. */
export class PacketSealer {
  readonly #keys: PacketKeys;
  readonly #nonce = Buffer.alloc(12);
  #epoch: EpochKey;
  #counter: number;

  /** `from` is the first counter, for tests. */
  constructor(keys: PacketKeys, from = 0) {
    this.#keys = keys;
    this.#counter = from;
    this.#epoch = epochKey(keys, Math.floor(from / PACKETS_PER_KEY));
  }

  /** The packet in parts, in sending order. The caller may reuse `frames` afterwards. */
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

/** The association that a packet claims, as a map key; undefined for a packet of another kind. */
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
  /** Whether the last opened packet is the newest so far: only the newest may change the peer's address. */
  newest = false;

  constructor(keys: PacketKeys) {
    this.#keys = keys;
    this.#key = keys.association.toString('latin1');
  }

  /** Packets that the other end sent and that have not arrived: lost or late. */
  get missing(): number {
    return this.#window.newest + 1 - this.#opened;
  }

  /** The frames in `packet`, or why it is rejected. A rejected packet changes nothing. */
  open(packet: Buffer): Buffer | Refusal {
    if (associationOf(packet) !== this.#key) return 'malformed';
    const high = packet.readUInt32BE(9);
    // No honest sender gets beyond 2^53, and the number would not be exact.
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

  /** The window spans at most one earlier epoch. */
  #forgetEpochsBefore(epoch: number): void {
    if (this.#epochs.size < 2) return;
    for (const known of this.#epochs.keys()) if (known < epoch) this.#epochs.delete(known);
  }
}
