import { existsSync, writeFileSync } from 'node:fs';

/** Clocks that tests can set. libfaketime changes the time of day that a process sees, but not its timers. */

const LIBRARIES = ['x86_64-linux-gnu', 'aarch64-linux-gnu', 'arm-linux-gnueabihf'].map(
  (triplet) => `/usr/lib/${triplet}/faketime/libfaketime.so.1`,
);

export const faketime = LIBRARIES.find((file) => existsSync(file));

/** Environment of a process whose clock `file` sets. */
export function clockEnv(file) {
  if (faketime === undefined) return {};
  setClock(file, 0);
  return {
    LD_PRELOAD: faketime,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_CACHE_DURATION: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    FAKETIME_DISABLE_SHM: '1',
    NO_FAKE_STAT: '1',
  };
}

export function setClock(file, offsetSeconds) {
  writeFileSync(file, `${offsetSeconds < 0 ? '' : '+'}${offsetSeconds}s\n`);
}
