/** Events by their time; those of the same time in the order in which they were added. A binary heap. */
export class EventQueue {
  #heap = [];
  #added = 0;

  add(at, happen) {
    const heap = this.#heap;
    let index = heap.push({ at, order: this.#added++, happen }) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(heap[index], heap[parent])) break;
      [heap[index], heap[parent]] = [heap[parent], heap[index]];
      index = parent;
    }
  }

  /** Removes the first event, or returns undefined from an empty queue. */
  next() {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (heap.length === 0) return first;
    heap[0] = last;
    for (let index = 0; ;) {
      let least = index;
      for (const child of [2 * index + 1, 2 * index + 2])
        if (child < heap.length && isBefore(heap[child], heap[least])) least = child;
      if (least === index) return first;
      [heap[index], heap[least]] = [heap[least], heap[index]];
      index = least;
    }
  }

  /** Whether no event happens at `at` any more. */
  isIdleUntil(at) {
    return this.#heap.length === 0 || this.#heap[0].at > at;
  }
}

const isBefore = (one, other) => one.at < other.at || (one.at === other.at && one.order < other.order);
