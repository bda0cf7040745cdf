import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Process information from the kernel (Linux). */

const TICKS = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
const PAGE = Number(execFileSync('getconf', ['PAGESIZE'], { encoding: 'utf8' }));

/** CPU seconds, user and system, of a process since it started. */
export function cpuOf(pid) {
  const fields = statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** The same of a process and its living children. */
export function cpuOfTree(pid) {
  return sum(pid, cpuOf);
}

export function rssOfTree(pid) {
  return sum(pid, (id) => Number(readFileSync(`/proc/${id}/statm`, 'utf8').split(' ')[1]) * PAGE);
}

export function childrenOf(pid) {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

function sum(pid, measure) {
  return childrenOf(pid).reduce((total, child) => total + measure(child), measure(pid));
}

/** The fields from `state` on. The name before them may contain any character. */
function statOf(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}
