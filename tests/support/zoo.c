/* A process of an odd kind: `zoo KIND PIDFILE`. It leaves its session, releases its output, writes its pid, and stays. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void *stay(void *unused) {
    (void)unused;
    for (;;) pause();
}

static void write_pid(const char *path) {
    char temporary[4096];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "w");
    if (!file) _exit(3);
    fprintf(file, "%d\n", getpid());
    fclose(file);
    rename(temporary, path);
}

static void let_go_of_output(void) {
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    for (int fd = 3; fd < 64; fd++) close(fd);
}

int main(int count, char **words) {
    if (count < 3) return 2;
    const char *kind = words[1], *path = words[2];
    int is = 0;
#define KIND(name) (is = !strcmp(kind, name))
    if (strstr(kind, "cleared") && getenv("PATH")) {
        char *none[] = {NULL};
        execve("/proc/self/exe", words, none);
        return 4;
    }
    setsid();
    if (!strstr(kind, "keeps_output")) let_go_of_output();
    if (strstr(kind, "unlimited")) {
        struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
        if (setrlimit(RLIMIT_RTTIME, &none)) _exit(10);
    }
    if (KIND("other_namespace")) {
        if (unshare(CLONE_NEWPID)) _exit(5);
        if (fork()) _exit(0);
        /* Its number in the namespace above is told by the one that stays there. */
        char link[64];
        ssize_t length = readlink("/proc/self", link, sizeof link - 1);
        if (length < 1) _exit(6);
        link[length] = 0;
        FILE *file = fopen(path, "w");
        fprintf(file, "%s\n", link);
        fclose(file);
        stay(NULL);
    }
    if (KIND("other_user")) {
        /* Before it may not write there any more. */
        write_pid(path);
        path = NULL;
    }
    if (KIND("other_user") && (setresgid(64998, 64998, 64998) || setresuid(64998, 64998, 64998))) _exit(7);
    if (strstr(kind, "setuid")) {
        write_pid(path);
        path = NULL;
        if (setresuid(0, 0, 0)) _exit(8);
        setresgid(0, 0, 0);
    }
    if (strstr(kind, "non_dumpable")) prctl(PR_SET_DUMPABLE, 0);
    if (KIND("renamed")) {
        prctl(PR_SET_NAME, "tenure-shim");
        dup2(0, 3);
    }
    if (path) write_pid(path);
    if (strstr(kind, "zombie_leader")) {
        pthread_t thread;
        pthread_create(&thread, NULL, stay, NULL);
        pthread_exit(NULL);
    }
    if (KIND("stopped")) raise(SIGSTOP);
    if (KIND("traced")) {
        pid_t traced = getpid();
        if (fork() == 0) {
            if (ptrace(PTRACE_ATTACH, traced, 0, 0)) _exit(9);
            waitpid(traced, NULL, 0);
            stay(NULL);
        }
    }
    if (KIND("vfork_parent") && vfork() == 0) stay(NULL);
    stay(NULL);
}
