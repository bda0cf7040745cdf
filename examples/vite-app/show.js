/** Shows the items on the page. */
export function show(items) {
  document.querySelector('ul').replaceChildren(
    ...items.map((item) => {
      const line = document.createElement('li');
      line.textContent = item;
      return line;
    }),
  );
}
