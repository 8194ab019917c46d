import { describe, expect, test } from '@jest/globals';

import { Template } from '../../lib/cli/template.js';

const data = {
  Id: 'abc',
  Running: true,
  Count: 3,
  Names: ['web', 'db'],
  Empty: [],
  Nothing: null,
  State: { Status: 'running', ExitCode: 0 },
  Labels: { fleet: 'web', 'com.example.x': 'y' },
  Networks: { bridge: { IPAddress: '172.17.0.2' }, other: { IPAddress: '10.0.0.2' } },
};

describe('templates', () => {
  test.each([
    ['{{.Id}}', 'abc'],
    ['{{ .Id }}', 'abc'],
    ['a{{.Id}}b', 'aabcb'],
    ['{{.State.Status}}/{{.State.ExitCode}}', 'running/0'],
    ['{{.Running}}', 'true'],
    ['{{.Names}}', '[web db]'],
    ['{{.Labels}}', 'map[com.example.x:y fleet:web]'],
    ['{{.Labels.fleet}}', 'web'],
    ['{{.Labels.missing}}', '<no value>'],
    ['{{index .Labels "com.example.x"}}', 'y'],
    ['{{index .Names 1}}', 'db'],
    ['{{.Nothing}}', '<nil>'],
    ['{{json .Labels}}', '{"fleet":"web","com.example.x":"y"}'],
    ['{{json .Id}}', '"abc"'],
    ['{{.Names | json}}', '["web","db"]'],
    ['{{join .Names ","}}', 'web,db'],
    ['{{upper .Id}} {{title .Id}} {{lower "X"}}', 'ABC Abc x'],
    ['{{.Id | upper | printf}}', undefined],
    ['{{len .Names}}', '2'],
    ['{{range .Names}}<{{.}}>{{end}}', '<web><db>'],
    ['{{range .Networks}}{{.IPAddress}} {{end}}', '172.17.0.2 10.0.0.2 '],
    ['{{range .Empty}}x{{else}}none{{end}}', 'none'],
    ['{{if .Running}}yes{{else}}no{{end}}', 'yes'],
    ['{{if .Empty}}yes{{else if .Running}}maybe{{else}}no{{end}}', 'maybe'],
    ['{{if eq .Id "abc"}}same{{end}}', 'same'],
    ['{{if not (eq .Count 3)}}x{{else}}three{{end}}', 'three'],
    ['{{if and .Running (ne .Id "x")}}both{{end}}', 'both'],
    ['{{with .State}}{{.Status}} {{$.Id}}{{end}}', 'running abc'],
    ['{{(index .Networks "bridge").IPAddress}}', '172.17.0.2'],
    ['a {{- .Id -}} b', 'aabcb'],
    ['{{/* nothing */}}x', 'x'],
    ['{{.Id}}\\t{{.Count}}', 'abc\t3'],
    ['{{println .Id}}', 'abc\n'],
    ['plain', 'plain'],
  ])('%s', (source, expected) => {
    if (expected === undefined)
      expect(() => new Template(source).render(data)).toThrow('function "printf" not defined');
    else expect(new Template(source).render(data)).toBe(expected);
  });

  test.each([
    ['{{.Id', 'unclosed action'],
    ['{{}}', 'missing value for command'],
    ['{{if .Id}}x', '{{if}} without {{end}}'],
    ['x{{end}}', 'unexpected {{end}}'],
    ['{{.Id | }}', 'missing value for command'],
    ['{{(.Id}}', 'unclosed left paren'],
    ['{{.Id ?}}', 'unexpected "?" in action'],
    ['{{foo .Id}}', 'function "foo" not defined'],
    ['{{.Foo}}', "can't evaluate field Foo"],
    ['{{.State.Foo}}', "can't evaluate field Foo"],
    ['{{range .Id}}{{end}}', "range can't iterate over abc"],
  ])('%s is refused', (source, reason) => {
    expect(() => new Template(source).render(data)).toThrow(`template parsing error: ${reason}`);
  });
});
