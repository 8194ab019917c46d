/** Columns under headings, laid out as Docker's: three spaces apart, none narrower than `least`. */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[], least = 10): string {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(least, ...all.map(row => (row[column] ?? '').length + 3)));
  return all
    .map(row =>
      row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join(''),
    )
    .join('\n');
}

/** At most `length` characters, the last of which says that there were more. */
export function ellipsis(text: string, length: number): string {
  const characters = [...text];
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join('')}…`;
}
