<?php
// Arrays, texts, and files.
$numbers = range(1, 50);
usort($numbers, fn($a, $b) => ($a * 7 % 51) <=> ($b * 7 % 51));
echo implode(",", array_slice($numbers, 0, 8)), "\n";
echo json_encode(["a" => 1, "b" => [1.5, null, "ü"]]), "\n";
printf("%05.1f|%'*10s|%b\n", 3.14159, "x", 10);
echo preg_replace('/(\w)(\w*)/', '$2$1', "hello world"), "\n";
echo serialize([1, "a" => true]), " ", hash("sha256", "x"), "\n";

mkdir("/tmp/dir");
file_put_contents("/tmp/dir/text", str_repeat("hello\n", 1000));
echo filesize("/tmp/dir/text"), " ", md5_file("/tmp/dir/text"), "\n";
$file = fopen("/tmp/dir/new", "w+");
fwrite($file, "abcdef");
fseek($file, 2);
echo fread($file, 3), "\n";
flock($file, LOCK_EX);
ftruncate($file, 4);
fclose($file);
rename("/tmp/dir/new", "/tmp/dir/moved");
symlink("moved", "/tmp/dir/link");
echo readlink("/tmp/dir/link"), "\n";
fwrite(tmpfile(), "x");
print_r(glob("/tmp/dir/*"));
print_r(scandir("/tmp/dir"));
unlink("/tmp/dir/text");
