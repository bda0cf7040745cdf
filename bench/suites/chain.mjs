import { KINDS } from '../lib/contenders.mjs';
import { small } from './requests.mjs';
import { transfer } from './transfer.mjs';

/** A download, and requests, over chains of two and three relays, compared with one relay. */
export const chain = async (world) => {
  const alone = { ...world, contenders: ['portal'] };
  return [
    ...(await transfer(alone, 'chain.download', 'down', KINDS.chain)),
    ...(await small(alone, 'chain.requests', KINDS.chain)),
  ];
};
