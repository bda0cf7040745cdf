/** How much a person reads: `-q` leaves results and errors, `-v` adds each step. */
export type Verbosity = 'quiet' | 'normal' | 'verbose';
