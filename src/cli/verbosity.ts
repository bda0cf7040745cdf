/** How much is printed: `-q` prints only results and errors, and no warning, `-v` also each step. */
export type Verbosity = 'quiet' | 'normal' | 'verbose';
