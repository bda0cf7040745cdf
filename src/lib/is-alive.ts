/** Whether a process runs that this one may signal. One that has ended stays alive until its parent collects it. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
