# Makes a repository of two commits with something changed since then, the same each time.
[ -x /usr/bin/git ] || exit 0
set -e
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE='2024-02-29T12:00:00Z'
export GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org GIT_COMMITTER_DATE="$GIT_AUTHOR_DATE"
export PATH=/usr/bin:/bin HOME=/tmp
git init -q -b trunk /cases/repository
cd /cases/repository
mkdir src
cp /cases/files.pl src/one
cp /cases/library.py src/two
git add .
git commit -q -m 'The first files'
git mv src/one src/three
echo 'print("more")' >>src/two
git commit -q -a -m 'One moves, another grows'
git gc -q
echo 'print("not committed")' >>src/two
echo new >untracked
