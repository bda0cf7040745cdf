/** How much to print. `-q` prints only results and errors, without warnings; `-v` also prints each step. */
export type Verbosity = 'quiet' | 'normal' | 'verbose';
