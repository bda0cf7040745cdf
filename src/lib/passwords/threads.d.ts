/** Programs of worker threads as text (scripts/build/threads.mjs). */
declare module 'threads:passwords' {
  export const program: string;
}
