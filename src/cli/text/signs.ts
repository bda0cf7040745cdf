/** The marks of everything that is printed. They tell states apart without colours, too. */
export const SIGNS = { ok: '✓', warning: '!', problem: '✗', skipped: '–' } as const;
