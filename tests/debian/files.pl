use strict; use warnings; use File::Path; use File::Find; use Data::Dumper; use List::Util qw(sum max); use POSIX qw(floor strftime); use Time::Local;
my @w = sort { $a <=> $b } map { ($_*7919) % 1009 } 1..200; print "@w[0..9]\n"; printf "%5.2f|%-6s|%06d|%x|%e\n", 3.14159, "ab", 42, 255, 12345.678;
my $t = "The quick brown fox"; (my $u = $t) =~ s/(\w+)/\u\L$1/g; print "$u\n"; my %c; $c{$_}++ for split //, $t; print join(",", map {"$_=$c{$_}"} sort keys %c), "\n";
mkpath("/tmp/a/b/c"); open(my $f, ">", "/tmp/a/b/file") or die $!; print $f "line $_\n" for 1..1000; close $f;
open($f, "<", "/tmp/a/b/file") or die; my @l = <$f>; print scalar(@l), " ", -s "/tmp/a/b/file", "\n"; close $f;
open($f, "+<", "/tmp/a/b/file"); seek($f, 100, 0); read($f, my $buf, 10); print "$buf\n"; truncate($f, 500); close $f;
find({wanted => sub { print "$File::Find::name\n" }, no_chdir => 1}, "/tmp/a"); rename "/tmp/a/b/file", "/tmp/a/f2"; symlink "f2", "/tmp/a/l"; print readlink("/tmp/a/l"), "\n"; unlink "/tmp/a/none" or print "$!\n";
local $Data::Dumper::Sortkeys = 1; print Dumper({a=>[1,2],b=>{c=>undef}}); print strftime("%Y-%m-%d", gmtime(86400*365)), " ", sum(1..10), max(3,9,2), floor(-1.5), "\n"; print sprintf("%s", join ",", unpack("nNa3", pack("nNa3", 1,2,"xyz"))), "\n"; opendir(my $d, "/tmp/a"); print join(" ", sort readdir $d), "\n";
