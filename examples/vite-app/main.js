import { show } from './show.js';

const items = await (await fetch('/api/items')).json();
show(items);

// Change show.js, and the page changes without a reload.
if (import.meta.hot) import.meta.hot.accept('./show.js', (changed) => changed?.show(items));
