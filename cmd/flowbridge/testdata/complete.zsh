# complete.zsh SCRIPT LINE: type a line and Tab into a zsh on a terminal of its own, with a completion script loaded, and
# print what it offers, a line each. Each match is printed by compadd itself, which every completion ends in.
zmodload zsh/zpty
zpty shell zsh -f -i
setup='
PS1= PS2= RPS1=
stty -echo 2>/dev/null
fpath=('${(q)0:h}' $fpath)
autoload -U compinit && compinit -u -D
source '${(q)1}'
zstyle ":completion:*" verbose no
compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
  local -a __matches
  builtin compadd -A __matches "$@"
  (( $#__matches )) && print -l -- "OFFERED "${^__matches}
  builtin compadd "$@"
}
finish() { print "ALL OFFERED" }
complete-and-finish() { zle complete-word; finish }
zle -C complete-word .complete-word _main_complete
zle -N complete-and-finish
bindkey "^I" complete-and-finish
print "RE"ADY
'
zpty -w shell "source =(print -r -- ${(qq)setup})"
read_until() {
  local line
  while zpty -r shell line; do
    line=${line//$'\r'/}
    line=${line%$'\n'}
    [[ $line == *$1* ]] && return
    [[ $line == *OFFERED\ * ]] && print -r -- ${line#*OFFERED }
  done
}
read_until READY
zpty -w -n shell "$2"$'\t'
read_until 'ALL OFFERED'
zpty -d shell
