" Vim syntax of .bp, the language of bpc.
if exists("b:current_syntax")
  finish
endif

syn keyword bpKeyword import const dataset module fn export param buffer let for scan while emit if
syn keyword bpKeyword else return
syn keyword bpWord var hyper model train optimizer backward forward layer loss metric carry in on
syn keyword bpWord as update print surrogate
syn keyword bpType f32 f64 bf16 i32 i64 bool real int str
syn keyword bpConstant true false inf nan
syn keyword bpBuiltin abs add and argmax argmin broadcast call cast cast_to ceil checkpoint concat
syn keyword bpBuiltin cond cos cumsum decode div einsum eq erf exp expm1 flip floor fold full gather
syn keyword bpBuiltin ge get grad gt hvp iota isfinite isnan jvp le log log1p lt matmul max min mod
syn keyword bpBuiltin mul ne neg not ones opt_barrier or pad params pow prod randint reduce_max
syn keyword bpBuiltin reduce_min reduce_prod reduce_sum reshape rng round rsqrt scatter_add sigmoid
syn keyword bpBuiltin sign sin slice split sqrt stack stop_gradient sub sum tanh total transpose
syn keyword bpBuiltin uniform unstack value_and_grad vjp where zeros

syn match bpNumber "\<\d\+\%([eE][+-]\=\d\+\)\=\>"
syn match bpNumber "\<\d\+\.\d\+\%([eE][+-]\=\d\+\)\=\>"
syn match bpFunction "\%(\<fn\s\+\|\<module\s\+\)\@<=\h\w*"
syn match bpOperator "[-+*/%@<>=!&|]\|->"
syn region bpString start=+"+ skip=+\\.+ end=+"\|$+ contains=bpEscape,@Spell
syn match bpEscape "\\[\"\\nt]" contained
syn keyword bpTodo TODO FIXME XXX contained
syn match bpComment "//.*$" contains=bpTodo,@Spell
syn match bpDoc "^\s*///.*$" contains=bpTodo,@Spell
syn match bpOrigin "//@.*$"

hi def link bpKeyword Keyword
hi def link bpWord Statement
hi def link bpType Type
hi def link bpConstant Constant
hi def link bpBuiltin Function
hi def link bpFunction Identifier
hi def link bpNumber Number
hi def link bpOperator Operator
hi def link bpString String
hi def link bpEscape SpecialChar
hi def link bpComment Comment
hi def link bpDoc SpecialComment
hi def link bpOrigin PreProc
hi def link bpTodo Todo

let b:current_syntax = "bp"
