import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

/**
 * The format of a history file: a head that only the right key opens, then frames, each sealed with AES-256-GCM. The
 * key of a file derives from the identity, a salt and the file's name. A frame's nonce is its offset, and no offset
 * is written twice. So a frame that was moved, repeated or copied from another file does not open.
 */

const CIPHER = 'aes-256-gcm';
/** Includes the version: another format starts with another magic. */
const MAGIC = Buffer.from('PortalRequests1\n');
const SALT_BYTES = 32;
const TAG_BYTES = 16;
const NONCE_BYTES = 12;
/** No frame has this offset. */
const CHECK_NONCE = Buffer.alloc(NONCE_BYTES, 0xff);

export const HEAD_BYTES = MAGIC.length + SALT_BYTES + TAG_BYTES;
export const FRAME_HEAD_BYTES = 5;
/** Far larger than any written frame, and small enough to read at once. */
const MAX_FRAME_BYTES = 8 * 1024 * 1024;

/** Kinds of frames. These numbers are on disk and must never change. */
export const KIND = { info: 1, heads: 2, parts: 3 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

/** Unencrypted. */
export interface FrameHead {
  readonly kind: number;
  /** Length of the sealed content. */
  readonly sealedBytes: number;
}

/** Seals and opens the frames of one file. */
export class FileSeal {
  readonly #key: Buffer;
  readonly #salt: Buffer;

  private constructor(master: Buffer, salt: Buffer, name: string) {
    this.#salt = salt;
    this.#key = Buffer.from(hkdfSync('sha256', master, salt, `request history ${name}`, 32));
  }

  /** For a new file. */
  static fresh(master: Buffer, name: string): FileSeal {
    return new FileSeal(master, randomBytes(SALT_BYTES), name);
  }

  /** For a file that starts with `head`. Undefined if it is not a history file, belongs to another key, or is damaged. */
  static of(master: Buffer, name: string, head: Buffer): FileSeal | undefined {
    if (head.length < HEAD_BYTES || !head.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
    const salt = Buffer.from(head.subarray(MAGIC.length, MAGIC.length + SALT_BYTES));
    const seal = new FileSeal(master, salt, name);
    const check = head.subarray(MAGIC.length + SALT_BYTES, HEAD_BYTES);
    return seal.#open(CHECK_NONCE, MAGIC, check) ? seal : undefined;
  }

  head(): Buffer {
    return Buffer.concat([MAGIC, this.#salt, this.#seal(CHECK_NONCE, MAGIC, Buffer.alloc(0))]);
  }

  /** The complete frame at offset `at`. */
  frame(at: number, kind: Kind, content: Buffer): Buffer {
    const head = Buffer.alloc(FRAME_HEAD_BYTES);
    head.writeUInt32BE(content.length + TAG_BYTES, 0);
    head.writeUInt8(kind, 4);
    return Buffer.concat([head, this.#seal(nonceAt(at), head, content)]);
  }

  /** The content of the frame at `at`. Undefined if the frame was changed, or was written elsewhere. */
  open(at: number, head: Buffer, sealed: Buffer): Buffer | undefined {
    return this.#open(nonceAt(at), head, sealed);
  }

  #seal(nonce: Buffer, clear: Buffer, content: Buffer): Buffer {
    const cipher = createCipheriv(CIPHER, this.#key, nonce).setAAD(clear);
    return Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]);
  }

  #open(nonce: Buffer, clear: Buffer, sealed: Buffer): Buffer | undefined {
    if (sealed.length < TAG_BYTES) return undefined;
    const end = sealed.length - TAG_BYTES;
    const decipher = createDecipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(clear).setAuthTag(sealed.subarray(end));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()]);
    } catch {
      return undefined;
    }
  }
}

/** Undefined if it cannot be a frame head. */
export function readFrameHead(head: Buffer): FrameHead | undefined {
  if (head.length < FRAME_HEAD_BYTES) return undefined;
  const sealedBytes = head.readUInt32BE(0);
  if (sealedBytes < TAG_BYTES || sealedBytes > MAX_FRAME_BYTES) return undefined;
  return { kind: head.readUInt8(4), sealedBytes };
}

function nonceAt(at: number): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeBigUInt64BE(BigInt(at), NONCE_BYTES - 8);
  return nonce;
}
