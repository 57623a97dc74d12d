# Threads of Python's: what they hand on, wait for and leave.
import concurrent.futures
import queue
import threading
import time

results = queue.Queue()


def work(tasks):
    while (number := tasks.get()) is not None:
        results.put(number * number)
        tasks.task_done()


tasks = queue.Queue(maxsize=5)
threads = [threading.Thread(target=work, args=(tasks,), name=f"worker-{own}") for own in range(4)]
for thread in threads:
    thread.start()
for number in range(200):
    tasks.put(number)
tasks.join()
for thread in threads:
    tasks.put(None)
for thread in threads:
    thread.join()
print(sum(results.get() for _ in range(200)), [thread.name for thread in threads])

with concurrent.futures.ThreadPoolExecutor(max_workers=3) as pool:
    print(list(pool.map(lambda number: number ** 3, range(10))))
    failing = pool.submit(lambda: 1 // 0)
    print(repr(failing.exception()))

event, local = threading.Event(), threading.local()
local.value = "main"


def wait_for_event():
    local.value = "other"
    event.wait()


waiter = threading.Thread(target=wait_for_event)
waiter.start()
print(event.wait(0.02), waiter.is_alive(), local.value)
event.set()
waiter.join()
print(waiter.is_alive(), local.value)

barrier, order = threading.Barrier(3), []
condition = threading.Condition()


def in_turn(own):
    barrier.wait()
    with condition:
        condition.wait_for(lambda: len(order) == own)
        order.append(own)
        condition.notify_all()


threads = [threading.Thread(target=in_turn, args=(own,)) for own in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(order)

lock = threading.RLock()
with lock, lock:
    thread = threading.Thread(target=lambda: print(lock.acquire(timeout=0.01)))
    thread.start()
    thread.join()
timer = threading.Timer(0.01, lambda: print("the timer"))
timer.start()
timer.join()
semaphore = threading.BoundedSemaphore(2)
print([semaphore.acquire(blocking=False) for _ in range(3)], threading.active_count())
threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
