/** An item of a chain. It is in one chain at most, and knows its neighbours. */
export interface Linked<N> {
  before: N | undefined;
  after: N | undefined;
}

/** A doubly linked list whose nodes are the items themselves, so removing one needs no search and no hash. */
export class Chain<N extends Linked<N>> {
  first: N | undefined;
  #last: N | undefined;
  size = 0;

  push(item: N): void {
    item.before = this.#last;
    item.after = undefined;
    if (this.#last) this.#last.after = item;
    else this.first = item;
    this.#last = item;
    this.size++;
  }

  /** `item` must be in this chain. */
  remove(item: N): void {
    const { before, after } = item;
    if (before) before.after = after;
    else this.first = after;
    if (after) after.before = before;
    else this.#last = before;
    item.before = undefined;
    item.after = undefined;
    this.size--;
  }

  *[Symbol.iterator](): Iterator<N> {
    for (let item = this.first; item; item = item.after) yield item;
  }
}
