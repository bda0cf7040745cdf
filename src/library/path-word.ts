/** Whether a word names a file: names of services have neither a slash nor a dot. */
export const isPath = (word: string): boolean => /[\\/]|\.ya?ml$/i.test(word);
