/** The modes that relays know. */
export type WireMode = 'stream' | 'http' | 'tcp' | 'udp';

/** `auto`: http if the target speaks HTTP, otherwise stream. */
export type Mode = 'auto' | WireMode;

/** What visitors are served as. `undecided`: mode auto, and the target has not shown its protocol. */
export type ServedAs = WireMode | 'undecided';
