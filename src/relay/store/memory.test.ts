import { describe } from 'vitest';
import { storeContract } from './contract.js';
import { openStore } from './store.js';

describe('the store in memory', () => {
  storeContract(() => openStore('memory'));
});
