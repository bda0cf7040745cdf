import type { DataConnection } from '../data/data-connection.js';

/** Takes a data connection with a valid ticket. */
export type TakeData = (connection: DataConnection) => void;

/** What takes the connection of a shown ticket; undefined if the ticket is invalid. A promise for the ticket of another node. */
export type Redeeming = TakeData | undefined | Promise<TakeData | undefined>;

/** Calls `then` with the result: at once, unless another node has to be asked. */
export function whenRedeemed(redeeming: Redeeming, then: (take: TakeData | undefined) => void): void {
  if (redeeming instanceof Promise) void redeeming.then(then);
  else then(redeeming);
}
