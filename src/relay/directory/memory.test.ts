import { beforeEach, describe } from 'vitest';
import { directoryContract } from './contract.js';
import { MemoryDirectory } from './memory.js';

describe('the directory in memory', () => {
  let shared: MemoryDirectory;
  beforeEach(() => {
    shared = new MemoryDirectory();
  });

  directoryContract(async (...names) => names.map((name) => shared.node(name)));
});
