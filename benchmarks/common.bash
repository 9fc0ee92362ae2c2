# What the benchmarks' scripts share, which source it: where the sources are ($home), the JVM ($java), and a few words.

home=$(cd -P "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

# The script's first comment.
usage() {
  sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[-1]}"
}

die() {
  echo "${BASH_SOURCE[-1]##*/}: $*" >&2
  exit 1
}

# The user has asked for what there is not.
refuse() {
  echo "${BASH_SOURCE[-1]##*/}: $* (-h tells more)" >&2
  exit 2
}

# Refuses $2, the value of $1, unless it is a whole number above 0.
whole() {
  [[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || refuse "$1 is a whole number above 0, not '$2'"
}

# Refuses $2, the value of $1, unless it is a number.
number() {
  [[ $2 =~ ^[0-9]{1,9}(\.[0-9]{1,9})?$ ]] || refuse "$1 is a number, not '$2'"
}

# Refuses $2, which is to be a $1, unless it is one of the others.
one_of() {
  local what=$1 value=$2
  shift 2
  case " $* " in
    *" $value "*) ;;
    *) refuse "unknown $what '$value'; there are: $*" ;;
  esac
}

build() {
  [ -n "${KVM4J_NO_BUILD:-}" ] ||
    (cd "$home" && mvn -q -B -Dstyle.color=never -DskipTests -Pfast -pl benchmarks -am package) </dev/null >&2 ||
    die "the build failed (see above)"
}

# Where the benchmarks' classes and all that they need are.
classpath() {
  local m
  for m in benchmarks vmm host-bridge kvm-api vmx-model machine-code ept; do
    printf '%s' "$home/$m/target/classes:"
  done
  printf '%s' "$home/benchmarks/target/lib/*"
}
