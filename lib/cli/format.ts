import { print } from './session.js';
import { formatTable } from './table.js';
import { Template } from './template.js';

/** A row of a listing, by the names that Docker's templates know. */
export type Row = Readonly<Record<string, string>>;

/** Things to list, and how they are told. */
export interface Listing {
  readonly rows: readonly Row[];
  /** The heading of every field of a row. */
  readonly headings: Readonly<Record<string, string>>;
  /** Columns of the table, in order: names of fields. */
  readonly columns: readonly string[];
  /** The field that `--quiet` prints alone. */
  readonly key: string;
}

/** Prints a listing as `--format` and `--quiet` say. */
export function printListing(
  listing: Listing,
  { format = 'table', quiet }: { readonly format: string | undefined; readonly quiet: boolean },
): void {
  const { rows, columns, headings, key } = listing;
  const cells = (row: Row): string[] => columns.map(field => row[field] ?? '');
  if (quiet && format === 'table') for (const row of rows) print(row[key] ?? '');
  else if (format === 'table') print(formatTable(cells(headings), rows.map(cells)));
  else if (format === 'json') for (const row of rows) print(toJson(row));
  else if (/^table\s/.test(format)) {
    const template = new Template(format.slice(5).trim());
    const split = (row: Row): string[] => template.render(row).split('\t');
    print(formatTable(split(headings), rows.map(split)));
  } else {
    const template = new Template(format);
    for (const row of rows) print(template.render(row));
  }
}

/** One object on one line, its keys in order, as Docker prints it. */
export function toJson(value: object): string {
  return JSON.stringify(Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))));
}
