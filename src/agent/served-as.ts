/** As relays know it. */
export type WireMode = 'stream' | 'http' | 'tcp' | 'udp';

/** `auto`: http where the target speaks HTTP, stream where it does not. */
export type Mode = 'auto' | WireMode;

/** What visitors are served as; `undecided`: of mode auto, and its target has not shown what it speaks. */
export type ServedAs = WireMode | 'undecided';
