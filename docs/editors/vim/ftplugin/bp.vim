" Settings of .bp files: comments, two blanks a level; :make checks, :BpcFormat formats.
if exists("b:did_ftplugin")
  finish
endif
let b:did_ftplugin = 1

setlocal comments=:///,://
setlocal commentstring=//\ %s
setlocal expandtab shiftwidth=2 softtabstop=2 textwidth=100
setlocal formatoptions-=t formatoptions+=croql
setlocal makeprg=bpc\ --emit=opt\ -o\ /dev/null\ %:S
setlocal errorformat=%f:%l:%c:\ %trror:\ %m,%f:%l:%c:\ %tarning:\ %m,%f:%l:%c:\ %tote:\ %m,%-G%.%#
command! -buffer BpcFormat let s:view = winsaveview() | silent %!bpc fmt - | if v:shell_error | undo | endif | call winrestview(s:view)

let b:undo_ftplugin = "setl com< cms< et< sw< sts< tw< fo< mp< efm< | delcommand BpcFormat"
