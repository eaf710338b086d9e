" Indentation of .bp: two blanks a level, four more for a statement that goes on.
if exists("b:did_indent")
  finish
endif
let b:did_indent = 1

setlocal indentexpr=BpIndent(v:lnum)
setlocal indentkeys=0},0),0],o,O,!^F
let b:undo_indent = "setl inde< indk<"

if exists("*BpIndent")
  finish
endif

" The line without its comment and strings.
function s:Code(n)
  return substitute(substitute(getline(a:n), '"\%([^"\\]\|\\.\)*"', '""', 'g'), '\s*//.*$', '', '')
endfunction

" The last line before n that holds code; 0: none.
function s:Before(n)
  let n = prevnonblank(a:n - 1)
  while n > 0 && s:Code(n) =~ '^\s*$'
    let n = prevnonblank(n - 1)
  endwhile
  return n
endfunction

function s:Ends(n)
  return a:n == 0 || s:Code(a:n) =~ '[;{}]\s*$'
endfunction

function BpIndent(n)
  let last = s:Before(a:n)
  if last == 0
    return 0
  endif
  let closes = getline(a:n) =~ '^\s*}'
  if !s:Ends(last)
    return s:Ends(s:Before(last)) && !closes ? indent(last) + 4 : indent(last)
  endif
  let start = last
  while !s:Ends(s:Before(start))
    let start = s:Before(start)
  endwhile
  let opens = s:Code(last) =~ '{\s*$'
  return indent(start) + (opens ? 2 : 0) - (closes ? 2 : 0)
endfunction
