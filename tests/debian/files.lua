-- Tables, texts, and files.
local numbers = {}
for i = 1, 100 do numbers[i] = (i * 37) % 101 end
table.sort(numbers)
print(table.concat(numbers, ",", 1, 10))
print(string.format("%5.1f %q %x", 3.14159, "a\nb", 255), #string.rep("ab", 1000))
print(pcall(error, "no way"))
print(math.pi, 7 // 2, 2 ^ 0.5, utf8.len("\u{20ac}x"))

local file = assert(io.open("/tmp/lines", "w"))
for i = 1, 100 do file:write(i, " line\n") end
file:close()
for line in io.lines("/tmp/lines") do
  if line:match("^9%d") then io.write(line, ";") end
end
print()
file = io.open("/tmp/lines", "r+")
file:seek("set", 10)
print(file:read(5), file:seek("end"))
file:write("tail")
file:close()
print(os.rename("/tmp/lines", "/tmp/moved"), os.remove("/tmp/none"))
local name = os.tmpname()
print(#name)
os.remove(name)
file = io.tmpfile()
file:write("abc")
file:seek("set")
print(file:read("a"))
