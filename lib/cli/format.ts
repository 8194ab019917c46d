import { print } from './session.js';
import { formatTable } from './table.js';
import { Template } from './template.js';

/** A row of a listing, by the names that Docker's templates know. */
export type Row = Readonly<Record<string, string | null | ((argument: string) => string)>>;

/** Things to list, and how they are told. */
export interface Listing {
  readonly rows: readonly Row[];
  /** The heading of every field of a row. */
  readonly headings: Readonly<Record<string, string | ((argument: string) => string)>>;
  /** Columns of the table, in order: names of fields. */
  readonly columns: readonly string[];
  /** The field that `--quiet` prints alone. */
  readonly key: string;
}

interface Manner {
  readonly format: string | undefined;
  readonly quiet: boolean;
}

/** Prints a listing as `--format` and `--quiet` say. */
export function printListing(listing: Listing, manner: Manner): void {
  const text = listingText(listing, manner);
  if (text !== undefined) print(text);
}

/** The same as text, without the newline at its end; `undefined` when there is not a line to print. */
export function listingText(listing: Listing, { format = 'table', quiet }: Manner): string | undefined {
  const { rows, columns, headings, key } = listing;
  const cells = (row: Row): string[] => columns.map(field => textOf(row[field]));
  const each = (show: (row: Row) => string): string | undefined =>
    rows.length === 0 ? undefined : rows.map(show).join('\n');
  if (quiet && format === 'table') return each(row => textOf(row[key]));
  if (format === 'table') return formatTable(cells(headings), rows.map(cells));
  if (format === 'json') return each(rowToJson);
  if (/^table\s/.test(format)) {
    const template = new Template(format.slice(5).trim());
    const split = (row: Row): string[] => template.render(row).split('\t');
    return formatTable(split(headings), rows.map(split));
  }
  const template = new Template(format);
  return each(row => template.render(row));
}

function textOf(field: Row[string] | undefined): string {
  return typeof field === 'string' ? field : '';
}

/** One object on one line, its keys in order, as Docker prints it. */
export function toJson(value: object): string {
  return JSON.stringify(Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** Rows are told by Go's encoder, whose JSON is fit to stand in HTML. */
function rowToJson(row: Row): string {
  const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return toJson(row).replace(/[<>&\u2028\u2029]/g, escaped);
}
