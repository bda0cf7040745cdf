import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { holdInterrupts, listenForInterrupts } from './interrupts.js';

/** A process that records how it would have ended. */
class Process extends EventEmitter {
  readonly env = {};
  readonly exits: number[] = [];

  raise(signal: string): void {
    this.emit(signal, signal);
  }

  exit(code: number): void {
    this.exits.push(code);
  }
}

const processes = (): { own: Process; source: NodeJS.Process } => {
  const own = new Process();
  return { own, source: own as unknown as NodeJS.Process };
};

describe('signals that arrive before a command listens', () => {
  it('are delivered in order once it listens', () => {
    const { own, source } = processes();
    holdInterrupts(source);
    for (const signal of ['SIGHUP', 'SIGTERM', 'SIGHUP']) own.raise(signal);
    const heard: string[] = [];
    const interrupts = listenForInterrupts({
      source,
      onSignal: (name) => heard.push(name),
      onHangup: () => heard.push('reload'),
    });
    expect(heard).toEqual(['SIGHUP', 'reload', 'SIGTERM', 'SIGHUP', 'reload']);
    expect(interrupts.signal.reason).toBe('SIGTERM');
    expect(own.exits).toEqual([]);
    interrupts.dispose();
    expect(own.eventNames()).toEqual([]);
  });

  it('end the process immediately if there are two', () => {
    const { own, source } = processes();
    holdInterrupts(source);
    own.raise('SIGINT');
    own.raise('SIGTERM');
    listenForInterrupts({ source }).dispose();
    expect(own.exits).toEqual([143]);
  });
});

describe('SIGUSR1 and SIGUSR2', () => {
  it('have no effect if the command ignores them', () => {
    const { own, source } = processes();
    const heard: string[] = [];
    const interrupts = listenForInterrupts({ source, onIgnored: (name) => heard.push(name) });
    own.raise('SIGUSR1');
    own.raise('SIGUSR2');
    expect(heard).toEqual(['SIGUSR1', 'SIGUSR2']);
    expect(interrupts.signal.aborted).toBe(false);
    interrupts.dispose();
    expect(own.eventNames()).toEqual([]);
  });
});
