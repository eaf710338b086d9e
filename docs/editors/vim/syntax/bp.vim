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
syn keyword bpBuiltin cond conv cos count cumsum decode div einsum eq erf exp expm1 flip floor
syn keyword bpBuiltin floor_div fold full gather ge get grad gt hvp inverse iota isfinite isnan jvp
syn keyword bpBuiltin kept le len log log1p lt matmul max min mod mul mul_ndtr ne neg not ones
syn keyword bpBuiltin opt_barrier or pad params pow prod randint rank reduce_max reduce_min
syn keyword bpBuiltin reduce_prod reduce_sum reshape rest rng round rsqrt scatter_add shape sigmoid
syn keyword bpBuiltin sign sin size slice span split sqrt stack stop_gradient sub sum take tanh total
syn keyword bpBuiltin transpose uniform unstack value_and_grad vjp where window_argmax window_pick
syn keyword bpBuiltin window_place zeros

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
