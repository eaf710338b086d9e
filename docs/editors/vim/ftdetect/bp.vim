au BufRead,BufNewFile *.bp setfiletype bp
